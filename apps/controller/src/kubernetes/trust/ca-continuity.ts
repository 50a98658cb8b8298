/**
 * Whether a CA goes on with the trust that the mesh has.
 *
 * Rule: another root than the one that proxies trust comes by somebody's word only (a rotation, a change of the Secret in use), never
 * because a Secret went. What the mesh trusts stands in the root's ConfigMap of the controller's namespace.
 */
import { type CaTexts, parseCertificates } from '@ambit/identity';
import type { KubeClient } from '@ambit/kube';
import { type CaSecret, caTextsOf, encode, isManaged, SECRETS } from './ca-secret.ts';

const CONFIG_MAPS = { group: '', version: 'v1', resource: 'configmaps' };
const ROOT_KEY = 'root-cert.pem';

/** PEM; undefined: the mesh trusts nothing yet, as far as is known. Throws KubeError. */
export async function trustedRoots(
  client: Pick<KubeClient, 'find'>,
  configMap: { readonly namespace: string; readonly name: string },
  signal: AbortSignal,
): Promise<string | undefined> {
  const found = await client.find(CONFIG_MAPS, configMap, { signal });
  if (found === undefined || !isManaged(found)) return undefined;
  return (found['data'] as Readonly<Record<string, string>> | undefined)?.[ROOT_KEY] ?? '';
}

/** They have a root in common, so that proxies go on and are brought the others; what those sign is refused by who has not got them yet. */
export function sharesRoot(texts: CaTexts, trusted: string): boolean {
  const known = rootsOf(trusted);
  return [...rootsOf(texts.roots)].some((root) => known.has(root));
}

/**
 * Writes a Secret of ours again, as it was when it went. False: the mesh trusts other roots by now, so it is not the last one. Throws
 * KubeError; KUBE_ALREADY_EXISTS when somebody was faster.
 */
export async function putBack(
  secret: CaSecret,
  {
    client,
    trusted,
    signal,
  }: {
    readonly client: Pick<KubeClient, 'create'>;
    readonly trusted: string | undefined;
    readonly signal: AbortSignal;
  },
): Promise<boolean> {
  const known = rootsOf(trusted ?? '');
  const isLast = [...rootsOf(caTextsOf(secret).roots)].every((root) => known.has(root));
  if (!isLast) return false;
  const [namespace = '', name = ''] = secret.name.split('/');
  const { annotations, labels, type, values } = secret;
  const data = Object.fromEntries(Object.entries(values).map(([key, text]) => [key, encode(text)]));
  const metadata = { namespace, name, labels, annotations };
  await client.create(
    SECRETS,
    { apiVersion: 'v1', kind: 'Secret', metadata, type, data },
    {
      signal,
    },
  );
  return true;
}

/** Fingerprints; of what cannot be read none. */
function rootsOf(pem: string): ReadonlySet<string> {
  try {
    return new Set(parseCertificates(pem).map((one) => one.fingerprint256));
  } catch {
    // Somebody changed the ConfigMap; whoever leads puts it right.
    return new Set();
  }
}
