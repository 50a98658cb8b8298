/** Versions of everything in a mesh: what programs say themselves, else the tags of their images. */
import type { AdminProxy } from '@ambit/model';
import { getProxies } from '../admin-answers.ts';
import { UserError } from '../errors.ts';
import type { AdminOf, MeshTarget } from '../target/mesh-target.ts';
import { namedApart, proxyVersions } from './proxy-versions.ts';
import type { Named } from './skew.ts';

export interface MeshVersions {
  readonly controllers: readonly Named[];
  /** One of each pod. */
  readonly proxies: readonly Named[];
  /** Controllers that were asked and did not answer: their version is a tag, or not known. */
  readonly silent: readonly string[];
}

/** Throws a UserError when there is no controller. */
export async function meshVersions(mesh: MeshTarget): Promise<MeshVersions> {
  const [replicas, admins] = await Promise.all([mesh.controllers(), mesh.proxies()]);
  const answers = await Promise.all(replicas.map(askReplica));
  const said = answers.flatMap((answer) => answer.said);
  return {
    controllers: answers.flatMap(({ name, version }) =>
      version === undefined ? [] : [{ name, version }],
    ),
    proxies: namedApart(proxyVersions(admins, said)),
    silent: answers.flatMap(({ name, isSilent }) => (isSilent ? [name] : [])),
  };
}

interface Answer {
  readonly name: string;
  readonly version: string | undefined;
  readonly said: readonly AdminProxy[];
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
