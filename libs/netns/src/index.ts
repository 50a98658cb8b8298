/** The only user of FFI: enter a network namespace, make sockets there, apply nft rules. */
export type {
  Netns,
  OriginalDestination,
  TcpListenOptions,
  TcpSocketOptions,
  UdpBindOptions,
} from './types.ts';
