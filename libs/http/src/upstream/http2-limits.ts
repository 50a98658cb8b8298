/** What a server may make a session of HTTP/2 do and hold. */
import { type H2Limits, MESH_LIMITS } from '@ambit/h2';

const MIB = 1024 * 1024;

/** Towards servers that the mesh knows and that are still anybody's programs. */
export const H2_UPSTREAM_LIMITS: H2Limits = {
  ...MESH_LIMITS,
  streamWindowBytesMax: MIB,
  connectionWindowBytes: 4 * MIB,
  heldBytesMax: 16 * MIB,
  sendBufferBytes: 64 * 1024,
};
