/** Header blocks into frames: HEADERS, and CONTINUATION where one is not enough (RFC 9113 §4.3, §6.2, §6.10). */
import { FLAG, FRAME, FRAME_BYTES_MIN, FRAME_HEADER_BYTES } from '../frames/protocol.ts';
import { HpackEncoder, measureFields } from '../hpack/encoder.ts';
import type { Fields } from '../message.ts';
import type { Output } from './output.ts';

export interface BlockOptions {
  readonly streamId: number;
  readonly endStream: boolean;
  readonly neverIndexed: readonly string[] | undefined;
}

export class FieldWriter {
  readonly #encoder = new HpackEncoder();

  /** The peer's SETTINGS_HEADER_TABLE_SIZE. */
  set tableBytes(bytes: number) {
    this.#encoder.setTableSize(bytes);
  }

  /** Throws H2Error H2_BAD_FIELD; nothing is written then. */
  write(out: Output, fields: Fields, options: BlockOptions): void {
    const bytesMax = measureFields(fields);
    // Every peer takes frames of this size, and few blocks are larger.
    if (bytesMax > FRAME_BYTES_MIN) {
      this.#writeLarge(out, fields, options, bytesMax);
      return;
    }
    const { buffer, at } = out.reserve(FRAME_HEADER_BYTES + bytesMax);
    const from = at + FRAME_HEADER_BYTES;
    const end = this.#encoder.encode(fields, buffer, from, options.neverIndexed);
    const flags = FLAG.END_HEADERS | (options.endStream ? FLAG.END_STREAM : 0);
    out.frame(FRAME.HEADERS, flags, options.streamId, end - from);
    out.commit(end);
  }

  #writeLarge(out: Output, fields: Fields, options: BlockOptions, bytesMax: number): void {
    const buffer = Buffer.allocUnsafe(bytesMax);
    const end = this.#encoder.encode(fields, buffer, 0, options.neverIndexed);
    for (let from = 0; from === 0 || from < end; from += FRAME_BYTES_MIN) {
      const to = Math.min(end, from + FRAME_BYTES_MIN);
      const isFirst = from === 0;
      const flags =
        (to === end ? FLAG.END_HEADERS : 0) | (isFirst && options.endStream ? FLAG.END_STREAM : 0);
      out.frame(isFirst ? FRAME.HEADERS : FRAME.CONTINUATION, flags, options.streamId, to - from);
      out.append(buffer.subarray(from, to));
    }
  }
}
