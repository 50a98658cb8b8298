/** Versions of everything in a mesh: what programs say themselves, else the tags of their images. */
import { getProxies } from '../admin-answers.ts';
import { UserError } from '../errors.ts';
import type { AdminOf, MeshTarget } from '../target/mesh-target.ts';
import type { Named } from './skew.ts';

export interface MeshVersions {
  readonly controllers: readonly Named[];
  readonly proxies: readonly Named[];
  /** Controllers that were asked and did not answer: their version is a tag, or not known. */
  readonly silent: readonly string[];
}

/** Throws a UserError when there is no controller. */
export async function meshVersions(mesh: MeshTarget): Promise<MeshVersions> {
  const [replicas, admins] = await Promise.all([mesh.controllers(), mesh.proxies()]);
  const answers = await Promise.all(replicas.map(askReplica));
  const proxies = new Map<string, string>();
  for (const { name, version } of [...admins, ...answers.flatMap(({ said }) => said)]) {
    if (version !== undefined) proxies.set(name, version);
  }
  return {
    controllers: answers.flatMap(({ name, version }) =>
      version === undefined ? [] : [{ name, version }],
    ),
    proxies: [...proxies].map(([name, version]) => ({ name, version })),
    silent: answers.flatMap(({ name, isSilent }) => (isSilent ? [name] : [])),
  };
}

interface Answer {
  readonly name: string;
  readonly version: string | undefined;
  readonly said: readonly { readonly name: string; readonly version?: string }[];
  readonly isSilent: boolean;
}

async function askReplica({ name, client, version }: AdminOf): Promise<Answer> {
  try {
    const { controller, proxies } = await getProxies(client);
    const said = proxies.filter(({ connectedSinceMs }) => connectedSinceMs !== undefined);
    return { name, version: controller.version, said, isSilent: false };
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return { name, version, said: [], isSilent: true };
  }
}
