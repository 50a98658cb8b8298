/**
 * The validating webhook: AdmissionReview v1 over HTTPS at `/validate`, no side effects.
 *
 * It tells authors early; it is no gate. Whatever it cannot answer in time is let through, because the
 * controller validates every object again and the API server asks it with failure policy Ignore.
 */
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';

import type { Clock } from '@ambit/core';
import type { Logger } from '@ambit/telemetry';
import type { Registry } from 'prom-client';

import { ReviewHandler } from './review-handler.ts';
import type { ServingTls } from './serving-tls.ts';
import type { AdmissionValidator } from './validator.ts';
import { createWebhookMetrics, type WebhookMetrics } from './webhook-metrics.ts';

/** The port of the reference. */
export const WEBHOOK_PORT = 15_017;
const CONNECTIONS_MAX = 512;
const HANDSHAKE_MS_MAX = 5_000;
/** For the whole request to arrive. */
const REQUEST_MS_MAX = 5_000;
const IDLE_MS_MAX = 90_000;

export interface WebhookOptions {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  /** Asked at the start and after each of its changes; open connections keep what they have. */
  readonly tls: ServingTls;
  /** Closed with the webhook. */
  readonly validator: AdmissionValidator;
  readonly clock: Clock;
  readonly log: Logger;
  readonly registry: Registry;
  /** Reviews that wait, for the metrics. */
  readonly waiting?: () => number;
}

export interface RunningWebhook {
  readonly port: number;
  /** Takes no new reviews, answers those it has, and resolves when the last connection is closed. */
  close(): Promise<void>;
}

/** Listens. Rejects if the port is taken or the certificate is unusable. */
export async function startWebhook(options: WebhookOptions): Promise<RunningWebhook> {
  const metrics = createWebhookMetrics(options.registry, { waiting: options.waiting ?? (() => 0) });
  const handler = new ReviewHandler(options, metrics);
  const server = createServer(
    {
      ...contextOf(options.tls),
      minVersion: 'TLSv1.2',
      handshakeTimeout: HANDSHAKE_MS_MAX,
      requestTimeout: REQUEST_MS_MAX,
      headersTimeout: REQUEST_MS_MAX,
      connectionsCheckingInterval: 1_000,
      keepAliveTimeout: IDLE_MS_MAX,
      maxHeaderSize: 16 * 1024,
    },
    (request, response) => void handler.handle(request, response),
  );
  server.maxConnections = CONNECTIONS_MAX;
  const unsubscribe = options.tls.onChange(() => {
    useNewCertificate(server, options, metrics);
  });
  const port = await listen(server, options);
  options.log.info('webhook listens', { port });
  return {
    port,
    close: async () => {
      unsubscribe();
      const closed = new Promise<void>((resolve) => {
        server.close(() => {
          resolve();
        });
      });
      server.closeIdleConnections();
      await handler.idle();
      server.closeAllConnections();
      await options.validator.close();
      await closed;
    },
  };
}

function contextOf(tls: ServingTls): { readonly key: string; readonly cert: string } {
  const { certificateChainPem, privateKeyPem } = tls.current();
  return { key: privateKeyPem, cert: certificateChainPem };
}

/** A certificate that cannot be used leaves the one before in use. */
function useNewCertificate(
  server: Server,
  { tls, log }: WebhookOptions,
  metrics: WebhookMetrics,
): void {
  try {
    server.setSecureContext({ ...contextOf(tls), minVersion: 'TLSv1.2' });
    metrics.certificateChanged();
  } catch (error) {
    log.error('the new certificate of the webhook is unusable', { error });
  }
}

async function listen(server: Server, { host, port }: WebhookOptions): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port }, () => {
      server.off('error', reject);
      resolve();
    });
  });
  // A connection that fails is the client's affair; without a listener it would end the process.
  server.on('error', () => undefined);
  return (server.address() as AddressInfo).port;
}
