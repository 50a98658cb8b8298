/** What a proxy's revocation lists are: how many are revoked, when the first ends, whether the file is what is in use. */
import { Counter, Gauge, type Registry } from 'prom-client';

export interface CrlState {
  readonly summaries: readonly {
    readonly nextUpdateMs: number | undefined;
    readonly revoked: number;
  }[];
  readonly problem: string | undefined;
  /** How often what was in the file could not be handed to whoever decides by it. */
  readonly failures: number;
}

/** Undefined: no file of lists is followed, and nothing is said of it. */
export function registerCrlMetrics(registry: Registry, state: () => CrlState | undefined): void {
  gauge(registry, {
    name: 'ambit_crl_revoked_certificates',
    help: 'Certificates that the revocation lists in use name',
    value: () => state()?.summaries.reduce((sum, { revoked }) => sum + revoked, 0),
  });
  gauge(registry, {
    name: 'ambit_crl_next_update_timestamp_seconds',
    help: 'When the first revocation list ends: from then on nobody new below its CA is taken',
    value: () => {
      const ends = state()?.summaries.flatMap(({ nextUpdateMs }) => nextUpdateMs ?? []) ?? [];
      return ends.length === 0 ? undefined : Math.min(...ends) / 1000;
    },
  });
  gauge(registry, {
    name: 'ambit_crl_file_problem',
    help: '1 while the file of revocation lists is not what is in use',
    value: () => {
      const now = state();
      return now === undefined ? undefined : Number(now.problem !== undefined);
    },
  });
  new Counter({
    name: 'ambit_crl_hand_over_failures_total',
    help: 'Revocation lists that could not be handed to the workers, and are tried again',
    registers: [registry],
    collect() {
      const now = state();
      this.reset();
      if (now === undefined) {
        this.remove();
      } else {
        this.inc(now.failures);
      }
    },
  });
}

function gauge(
  registry: Registry,
  { name, help, value }: { name: string; help: string; value: () => number | undefined },
): void {
  new Gauge({
    name,
    help,
    registers: [registry],
    collect() {
      const now = value();
      this.reset();
      if (now === undefined) {
        this.remove();
      } else {
        this.set(now);
      }
    },
  });
}
