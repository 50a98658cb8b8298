/** What we say in SETTINGS (RFC 9113 §6.5.2): what differs from the defaults. */
import { FRAME_BYTES_MIN, SETTING, WINDOW_BYTES_DEFAULT } from '../frames/protocol.ts';
import type { H2Limits } from './limits.ts';

export function localSettings(
  limits: H2Limits,
  role: 'client' | 'server',
): (readonly [id: number, value: number])[] {
  const entries: (readonly [number, number])[] =
    role === 'client'
      ? [[SETTING.ENABLE_PUSH, 0]]
      : [[SETTING.MAX_CONCURRENT_STREAMS, limits.streamsMax]];
  if (limits.streamWindowBytes !== WINDOW_BYTES_DEFAULT) {
    entries.push([SETTING.INITIAL_WINDOW_SIZE, limits.streamWindowBytes]);
  }
  if (limits.frameBytesMax !== FRAME_BYTES_MIN) {
    entries.push([SETTING.MAX_FRAME_SIZE, limits.frameBytesMax]);
  }
  entries.push([SETTING.MAX_HEADER_LIST_SIZE, limits.headerListBytesMax]);
  return entries;
}
