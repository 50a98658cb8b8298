/** Certificates and lists that no CA should sign, and some that it should. Imported by tests only, as `@ambit/identity/testing`. */
export { buildCrl, type CrlOptions } from './crl-builder.ts';
export { buildOddLeaf, type OddLeafOptions, type OddName } from './odd-leaf.ts';
