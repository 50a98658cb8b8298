/** A tap: every frame of every interface of a namespace, as tcpdump sees it, without tcpdump's change of user. */
import { runInNetns } from './netns.ts';
import { check, libc, SOCK_CLOEXEC, SOL_SOCKET } from './syscalls.ts';
import type { Netns } from './types.ts';

const AF_PACKET = 17;
const SOCK_RAW = 3;
/** ETH_P_ALL in network byte order. */
const ALL_PROTOCOLS = 0x03_00;
const SO_RCVBUFFORCE = 33;
const RECEIVE_BYTES = 32 * 1024 * 1024;

/**
 * A blocking descriptor; each read(2) gives one frame, from its link header on. The caller closes it. Throws
 * `NETNS_SOCKET_FAILED` without CAP_NET_RAW.
 */
export function packetSocket(ns: Netns): number {
  return runInNetns(ns, () => {
    const type = SOCK_RAW | SOCK_CLOEXEC;
    const fd = check(
      libc().socket(AF_PACKET, type, ALL_PROTOCOLS),
      'NETNS_SOCKET_FAILED',
      'cannot make a packet socket',
    );
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(RECEIVE_BYTES);
    // Best effort: in a user namespace the default size stays.
    libc().setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, bytes, bytes.length);
    return fd;
  });
}
