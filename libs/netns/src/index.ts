/** Network namespaces: enter one, make sockets there, run commands there. The only user of FFI. */
export {
  type AdoptListenerOptions,
  adoptListener,
  adoptUdp,
  type DialOptions,
  descriptorOf,
  dialFrom,
} from './adopt.ts';
export {
  applyNft,
  readSysctl,
  runIp,
  runNft,
  spawnInNetns,
  toolCounters,
  useProcDir,
  writeSysctl,
} from './commands.ts';
export { NetnsError, type NetnsErrorCode } from './errors.ts';
export { createNetns, currentNetns, exitNow, openNetns, runInNetns } from './netns.ts';
export { packetSocket } from './packet-socket.ts';
export {
  bindUdp,
  closeFd,
  duplicate,
  hearNoMore,
  listenTcp,
  localAddressOf,
  originalDestination,
  tcpSocket,
} from './sockets.ts';
export { trimMemory } from './trim-memory.ts';
export type {
  Netns,
  OriginalDestination,
  TcpListenOptions,
  TcpSocketOptions,
  UdpBindOptions,
} from './types.ts';
