/** Every bound of the HTTP/1 codec, with its default and where the number comes from. */

export interface H1Limits {
  /** Of the first line with its end. Beyond: 414. */
  readonly startLineBytesMax: number;
  /** Of all header lines with their ends. Beyond: 431. */
  readonly headerBytesMax: number;
  readonly headersMax: number;
  readonly trailerBytesMax: number;
  readonly trailersMax: number;
  /** Of a decoded body. Beyond: 413. Default: no bound, because a proxy streams. */
  readonly bodyBytesMax: number;
  /** Hexadecimal digits of the size of a chunk. */
  readonly chunkDigitsMax: number;
  /** Of one chunk's extensions, and of those of all chunks of a message. They are read and dropped. */
  readonly chunkExtensionBytesMax: number;
  readonly chunkExtensionsBytesMax: number;
  /** Interim (1xx) responses before the one that counts. */
  readonly interimMax: number;
  /** Bytes given to a decoder that nobody has read. One read of the transport fits; whoever feeds it pauses meanwhile. */
  readonly heldBytesMax: number;
}

export const H1_LIMITS: H1Limits = {
  // HAProxy's default buffer; nginx takes 8 KiB.
  startLineBytesMax: 16 * 1024,
  // Envoy's defaults.
  headerBytesMax: 60 * 1024,
  headersMax: 100,
  trailerBytesMax: 8 * 1024,
  trailersMax: 32,
  bodyBytesMax: Number.POSITIVE_INFINITY,
  // 2^48 - 1: every size is an exact number.
  chunkDigitsMax: 12,
  chunkExtensionBytesMax: 256,
  chunkExtensionsBytesMax: 4 * 1024,
  interimMax: 8,
  heldBytesMax: 1024 * 1024,
};
