/** What streams do, for the log, the metrics, and the pods that agents say they have captured. */
import type { Logger } from '@ambit/telemetry';
import { type DeltaServerEvent, type StreamView, TYPE_URL } from '@ambit/xds';

import type { Captures } from '../index/captures.ts';
import type { ObjectPodIndex } from '../index/pod-index.ts';
import type { Reports } from '../index/reports.ts';
import { type ControllerMetrics, shortType } from '../metrics.ts';

export interface StreamEventTargets {
  readonly captures: Captures;
  readonly reports: Pick<Reports, 'take'>;
  readonly pods: ObjectPodIndex;
  readonly trustedNodeAccounts: ReadonlySet<string>;
  readonly metrics: ControllerMetrics;
  readonly log: Logger;
}

export function onStreamEvent(event: DeltaServerEvent, to: StreamEventTargets): void {
  const { stream } = event;
  const proxy = stream.node?.id ?? `${stream.caller.namespace}/${stream.caller.pod.name}`;
  switch (event.kind) {
    case 'opened':
      to.log.info('stream opened', { proxy });
      return;
    case 'closed':
      to.log.info('stream closed', { proxy });
      releaseClaims(stream, to);
      return;
    case 'sent': {
      const { typeUrl, resources, removed } = event;
      const type = shortType(typeUrl);
      to.metrics.pushes.inc({ type });
      to.metrics.resources.inc({ type, what: 'changed' }, resources);
      to.metrics.resources.inc({ type, what: 'removed' }, removed);
      to.log.debug('pushed', { proxy, type: typeUrl, resources, removed });
      return;
    }
    case 'refused':
      to.metrics.refusals.inc({ type: shortType(event.typeUrl) });
      to.log.warn('proxy refused', { proxy, type: event.typeUrl, message: event.message });
      return;
    case 'subscribed':
      if (event.typeUrl === TYPE_URL.capture) takeClaims(stream, to);
      return;
    case 'acknowledged':
      return;
  }
}

/** Only agents may say what they have captured, and only of the node that their token or pod is on. */
function takeClaims(stream: StreamView, to: StreamEventTargets): void {
  const { namespace, serviceAccount, pod, node } = stream.caller;
  if (!to.trustedNodeAccounts.has(`${namespace}/${serviceAccount}`)) return;
  const place = node === '' ? (to.pods.pod(namespace, pod.name)?.node ?? '') : node;
  if (place === '') return;
  const uids = stream.types.get(TYPE_URL.capture)?.names ?? new Set<string>();
  const speaker = { id: speakerOf(stream), sinceMs: stream.connectedAtMs };
  to.reports.take({ captured: to.captures.claim(place, uids, speaker) });
}

function releaseClaims(stream: StreamView, to: StreamEventTargets): void {
  to.reports.take({ captured: to.captures.release(speakerOf(stream)) });
}

function speakerOf({ id }: StreamView): string {
  return `stream ${id}`;
}
