/** Packets on a node that hold words in clear, counted by `c sniff`. */
import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';

export interface Sniffer {
  /** Ends it. Word → packets; `packets` → all that were seen. */
  stop(): Promise<ReadonlyMap<string, number>>;
}

/** Resolves when packets are counted from now on. */
export async function startSniffer(child: ChildProcess): Promise<Sniffer> {
  const counts = new Map<string, number>();
  const started = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<void>();
  let said = '';
  child.stderr?.on('data', (text: Buffer) => {
    said += text.toString();
  });
  if (child.stdout === null) {
    throw new TypeError('the sniffer has no pipe');
  }
  createInterface({ input: child.stdout }).on('line', (line) => {
    const [word = '', count] = line.split(' ');
    if (count === undefined) {
      started.resolve();
    } else {
      counts.set(word, Number(count));
    }
  });
  child.once('close', () => {
    started.reject(new Error(`the sniffer did not start: ${said}`));
    ended.resolve();
  });
  await started.promise;
  return {
    stop: async () => {
      child.stdin?.end();
      await ended.promise;
      if (!counts.has('packets')) {
        throw new Error(`the sniffer ended without counts: ${said}`);
      }
      return counts;
    },
  };
}
