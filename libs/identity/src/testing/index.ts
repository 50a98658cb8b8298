/** Certificates that no CA should sign. Imported by tests only, as `@ambit/identity/testing`. */
export { buildOddLeaf, type OddLeafOptions, type OddName } from './odd-leaf.ts';
