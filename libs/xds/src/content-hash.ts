/**
 * Versions of resources: xxHash64 of the bytes, lower-case hexadecimal without leading zeros, as the
 * reference's. Equal content is an equal version on every replica and after a restart.
 */
import loadXxhash from 'xxhash-wasm';

export type ContentHash = (bytes: Uint8Array) => string;

/** Loads the WebAssembly module once; the function itself is synchronous. */
export async function loadContentHash(): Promise<ContentHash> {
  const { h64Raw } = await loadXxhash();
  return (bytes) => h64Raw(bytes).toString(16);
}
