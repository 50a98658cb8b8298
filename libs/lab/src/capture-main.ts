/**
 * The process of a capture: copies frames from the packet socket on descriptor 3 to a pcap file, until it is killed.
 *
 * A process of its own because a packet socket can only be read by waiting in read(2).
 */
import { openSync, readSync, writeSync } from 'node:fs';

const SOCKET = 3;
const FRAME_BYTES_MAX = 262_144;
/** Version 2.4, Ethernet, times in microseconds. */
const FILE_HEADER = Buffer.from('d4c3b2a1020004000000000000000000ffff040001000000', 'hex');

const file = openSync(process.argv[2] ?? '', 'w', 0o600);
writeSync(file, FILE_HEADER);
const frame = Buffer.alloc(FRAME_BYTES_MAX);
process.stdout.write('ready\n');
for (;;) {
  const length = readSync(SOCKET, frame);
  const now = Date.now();
  const header = Buffer.alloc(16);
  header.writeUInt32LE(Math.floor(now / 1_000), 0);
  header.writeUInt32LE((now % 1_000) * 1_000, 4);
  header.writeUInt32LE(length, 8);
  header.writeUInt32LE(length, 12);
  writeSync(file, Buffer.concat([header, frame.subarray(0, length)]));
}
