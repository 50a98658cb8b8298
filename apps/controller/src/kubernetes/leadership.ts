/** One replica writes: whoever holds the Lease does all duties, and ends them before another may have it. */
import { randomBytes } from 'node:crypto';

import { LeaderElection } from '@ambit/kube';

import { type KubernetesContext, MANAGED_BY } from './context.ts';
import type { LeaderDuty } from './leader-duty.ts';

const LEASE = 'ambit-controller';
const AGAIN_MS = 30_000;

export class Leadership {
  readonly #election: LeaderElection;

  constructor(
    context: KubernetesContext,
    { revision, duties }: { readonly revision: string; readonly duties: readonly LeaderDuty[] },
  ) {
    const { client, clock, namespace, podName } = context;
    const log = context.log.scoped('lease');
    const name = revision === 'default' ? LEASE : `${LEASE}-${revision}`;
    this.#election = new LeaderElection({
      client,
      clock,
      namespace,
      name,
      labels: MANAGED_BY,
      identity: `${podName}_${randomBytes(4).toString('hex')}`,
      onAcquired: (signal) => {
        log.info('leading', { lease: name });
        for (const duty of duties) {
          duty.lead(signal, async (error) => {
            log.error('a duty failed and begins again', { duty: duty.constructor.name, error });
            // Rejects when the lease is lost, and then there is nothing to begin.
            await clock.sleep(AGAIN_MS, signal).catch(() => undefined);
          });
        }
      },
      onLost: async (reason) => {
        log.info('leading no more', { lease: name, reason });
        await Promise.all(duties.map(async (duty) => await duty.idle()));
      },
    });
  }

  start(): void {
    this.#election.start();
  }

  /** Gives the lease back when all duties have ended. */
  async stop(): Promise<void> {
    await this.#election.stop();
  }
}
