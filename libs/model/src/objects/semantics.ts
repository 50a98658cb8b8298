/**
 * The version of what the fields of objects mean. A waypoint refuses objects of a later one: it would
 * read them by the rules of another time.
 */
export const SEMANTICS_VERSION = 1;
