/** Connections in memory and the suite every `ByteConn` passes. Imported by tests only. */

export { byteConnSuite, type ConnMaker } from './conformance.ts';
export { type ConnPairOptions, connPair } from './conn-pair.ts';
export { duplexFromConn } from './duplex.ts';
export { Recorder } from './recorder.ts';
