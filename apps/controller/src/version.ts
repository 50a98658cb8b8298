/** Of this program, as people and logs see it. */
export const VERSION = '0.1.0';
