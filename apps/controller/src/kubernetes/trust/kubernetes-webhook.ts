/** The webhook of a controller in a cluster: certificate from the mesh's CA for the Service's names, validation in threads. */
import type { Clock } from '@ambit/core';
import type { CertificateAuthority } from '@ambit/identity';
import type { Logger } from '@ambit/telemetry';
import type { Registry } from 'prom-client';

import { ServingRenewal } from '../../authority.ts';
import { CertificateHolder } from '../../webhook/serving-tls.ts';
import { type RunningWebhook, startWebhook, WEBHOOK_PORT } from '../../webhook/start-webhook.ts';
import type { AdmissionValidator } from '../../webhook/validator.ts';
import { WorkerValidator } from '../../webhook/worker-validator.ts';

export interface KubernetesWebhookOptions {
  /** Open before `start`. */
  readonly authority: CertificateAuthority;
  /** Of the serving certificate: `serviceNames(…)`. */
  readonly names: readonly string[];
  readonly clock: Clock;
  readonly log: Logger;
  readonly registry: Registry;
  /** Default: every address. */
  readonly host?: string;
  /** Default 15017. */
  readonly port?: number;
  /** Default: threads of its own. */
  readonly validator?: AdmissionValidator;
}

export class KubernetesWebhook {
  readonly #options: KubernetesWebhookOptions;
  #running: { readonly webhook: RunningWebhook; readonly renewal: ServingRenewal } | undefined;

  constructor(options: KubernetesWebhookOptions) {
    this.#options = options;
  }

  /** Resolves with the port it listens on. Rejects if the port is taken or the CA signs nothing. */
  async start(): Promise<number> {
    const { authority, names, clock, log, registry, host = '::' } = this.#options;
    const { port = WEBHOOK_PORT } = this.#options;
    const renewal = new ServingRenewal({ authority, names, clock, log });
    const tls = new CertificateHolder(renewal.issue());
    const validator = this.#options.validator ?? new WorkerValidator({ clock });
    const waiting = (): number => (validator instanceof WorkerValidator ? validator.waiting : 0);
    const options = { host, port, tls, validator, clock, log, registry, waiting };
    const webhook = await startWebhook(options).catch(async (error: unknown) => {
      await validator.close();
      throw error;
    });
    renewal.start((next) => tls.use(next));
    this.#running = { webhook, renewal };
    return webhook.port;
  }

  /** Answers what it has. Idempotent. */
  async stop(): Promise<void> {
    const running = this.#running;
    this.#running = undefined;
    running?.renewal.stop();
    await running?.webhook.close();
  }
}

/** The names by which a Service is called from inside the cluster. */
export function serviceNames(options: {
  readonly service: string;
  readonly namespace: string;
  readonly clusterDomain: string;
}): readonly string[] {
  const name = `${options.service}.${options.namespace}`;
  return [name, `${name}.svc`, `${name}.svc.${options.clusterDomain}`];
}
