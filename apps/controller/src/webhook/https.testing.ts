/** A webhook with a CA of its own, and a client that trusts that CA. */
import { mkdtempSync, rmSync } from 'node:fs';
import { type RequestOptions, request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { systemClock } from '@ambit/core';
import { CertificateAuthority } from '@ambit/identity';
import { createLogger, createRegistry, LogLevels } from '@ambit/telemetry';

import { CertificateHolder } from './serving-tls.ts';
import { startWebhook } from './start-webhook.ts';
import { type AdmissionValidator, validateReview } from './validator.ts';

/** Validates in the calling thread. */
export const INLINE: AdmissionValidator = {
  validate: (body) => Promise.resolve(validateReview(body)),
  close: () => Promise.resolve(),
};

export async function openTestAuthority() {
  const folder = mkdtempSync(join(tmpdir(), 'ambit-webhook-'));
  const authority = await CertificateAuthority.openOwn({
    folder,
    trustDomain: 'cluster.local',
    clock: systemClock,
    defaultTtlSeconds: 3_600,
  });
  const issue = () => authority.issueServing({ names: ['127.0.0.1'], ttlSeconds: 3_600 });
  return { authority, issue, close: () => rmSync(folder, { recursive: true }) };
}

export async function openTestWebhook(validator: AdmissionValidator = INLINE) {
  const ca = await openTestAuthority();
  const tls = new CertificateHolder(ca.issue());
  const registry = createRegistry();
  const lines: string[] = [];
  const log = createLogger({
    scope: 'webhook',
    levels: new LogLevels('debug'),
    wallNow: systemClock.wallNow,
    sink: { write: (line) => void lines.push(line) },
  });
  const clock = systemClock;
  const options = { host: '127.0.0.1', port: 0, tls, validator, clock, log, registry };
  const running = await startWebhook(options);
  return {
    port: running.port,
    tls,
    issue: ca.issue,
    registry,
    lines,
    rootBundlePem: ca.authority.rootBundlePem,
    close: async () => {
      await running.close();
      ca.close();
    },
  };
}

export interface HttpsAnswer {
  readonly status: number;
  readonly text: string;
  /** Of the server's certificate. */
  readonly serialNumber: string;
}

/** POSTs JSON to /validate unless `options` say otherwise. */
export function ask(
  target: { readonly port: number; readonly rootBundlePem: string },
  body: string | Uint8Array,
  options: RequestOptions = {},
): Promise<HttpsAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<HttpsAnswer>();
  const sent = request(
    {
      host: '127.0.0.1',
      port: target.port,
      ca: target.rootBundlePem,
      path: '/validate',
      method: 'POST',
      agent: false,
      ...options,
      headers: { 'content-type': 'application/json', ...options.headers },
    },
    (response) => {
      // `agent: false` gives each request its own connection, and so a TLS socket of its own.
      const socket = response.socket as import('node:tls').TLSSocket;
      const { serialNumber } = socket.getPeerCertificate();
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('error', reject);
      response.on('end', () => {
        resolve({ status: response.statusCode ?? 0, text, serialNumber });
      });
    },
  );
  sent.on('error', reject);
  sent.end(body);
  return promise;
}
