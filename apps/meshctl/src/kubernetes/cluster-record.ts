/** Who asks, when it is, and an Event that says what was done: what a record in a cluster is made of. */
import { type Cluster, gvr, textAt } from '../install/cluster.ts';
import { note } from '../output.ts';

const EVENTS = gvr('v1', 'events');
const REVIEWS = gvr('authentication.k8s.io/v1', 'selfsubjectreviews');

/** The cluster's word for who asks: what people type can be anything. */
export async function whoAmI({ client }: Cluster): Promise<string> {
  const answer = await client.review(REVIEWS, {
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'SelfSubjectReview',
  });
  return textAt(answer, 'status', 'userInfo', 'username') || 'unknown';
}

/** The API server's clock is nearer to the controller's than that of somebody's laptop. */
export async function serverNow({ client, clock }: Cluster): Promise<number> {
  const response = await client.http.open({ method: 'GET', path: '/version' });
  response.resume();
  const theirs = Date.parse(response.headers.date ?? '');
  return Number.isNaN(theirs) ? clock.wallNow() : theirs;
}

/** Events about what has no namespace are kept in `default`. It is a record beside the annotations; without it they hold. */
export async function record(
  cluster: Cluster,
  namespace: string,
  { reason, message }: { readonly reason: string; readonly message: string },
): Promise<void> {
  const at = rfc3339(cluster.clock.wallNow());
  try {
    await cluster.client.create(EVENTS, {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { generateName: `${namespace}.bypass.`, namespace: 'default' },
      involvedObject: { apiVersion: 'v1', kind: 'Namespace', name: namespace },
      reason,
      message,
      type: 'Warning',
      source: { component: 'meshctl' },
      firstTimestamp: at,
      lastTimestamp: at,
      count: 1,
    });
  } catch (error) {
    note(`no Event could be written: ${error instanceof Error ? error.message : String(error)}`);
  }
}

export function rfc3339(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d{3}Z$/, 'Z');
}
