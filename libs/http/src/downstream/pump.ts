/** Copies a body into an answer, with backpressure, and says how it ended. Never rejects. */
import type { Readable, Writable } from 'node:stream';
import type { SendResult } from '../message.ts';

/** `finish` is called instead of `end` when the source is complete, for trailers. */
export function pump(source: Readable, sink: Writable, finish: () => void): Promise<SendResult> {
  const { promise, resolve } = Promise.withResolvers<SendResult>();
  let hasEnded = false;
  const done = (result: SendResult): void => {
    if (result !== 'complete') {
      source.destroy();
    }
    resolve(result);
  };
  source.once('end', () => {
    hasEnded = true;
    finish();
  });
  source.once('error', () => done('source-failed'));
  source.once('close', () => hasEnded || done('source-failed'));
  sink.once('finish', () => done('complete'));
  sink.once('error', () => done('client-gone'));
  sink.once('close', () => done('client-gone'));
  if (sink.destroyed) {
    done('client-gone');
  } else if (source.destroyed && !source.readableEnded) {
    done('source-failed');
  } else {
    source.pipe(sink, { end: false });
  }
  return promise;
}
