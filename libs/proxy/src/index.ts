/** Bytes: the push contract, listen, copy both ways with backpressure and half-close, live connections. */
export type { ByteConn, ByteSink } from './conn.ts';
