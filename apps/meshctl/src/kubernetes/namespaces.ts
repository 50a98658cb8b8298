/** Namespaces of a cluster: which one a command means, and what is read of them. */
import type { KubeObject } from '@ambit/kube';
import { EXIT, UserError } from '../errors.ts';
import { type Cluster, gvr } from '../install/cluster.ts';

export const NAMESPACES = gvr('v1', 'namespaces');

/** That of the option, else the context's. */
export function namespaceOr(cluster: Cluster, given: string | undefined): string {
  return given ?? cluster.client.http.credentials.namespace;
}

/** Throws a UserError if there is none. */
export async function readNamespace({ client }: Cluster, name: string): Promise<KubeObject> {
  const found = await client.find(NAMESPACES, { name });
  if (found !== undefined) return found;
  throw new UserError(`there is no namespace "${name}"`, { exitCode: EXIT.finding });
}

export function annotationsOf({ metadata }: KubeObject): Readonly<Record<string, string>> {
  return metadata.annotations ?? {};
}

export function labelsOf({ metadata }: KubeObject): Readonly<Record<string, string>> {
  return metadata.labels ?? {};
}
