/**
 * What the agents say of their nodes (`/v1/node-check`), asked once for all checks that read it, a few at a time.
 *
 * An agent that does not answer has a report too: with the reason.
 */
import { UserError } from '../../errors.ts';
import { clusterMesh } from '../../target/cluster-mesh.ts';
import type { ProxyAdmin } from '../../target/mesh-target.ts';
import type { CheckContext } from './check.ts';

export interface NodeReport {
  readonly node: string;
  /** Absent: it did not answer. */
  readonly json?: unknown;
  readonly error?: string;
  /** When it was asked and had answered, by the clock here. */
  readonly askedAtMs: number;
  readonly answeredAtMs: number;
}

const AT_ONCE = 8;
const asked = new WeakMap<CheckContext, Promise<readonly NodeReport[]>>();

/** Of all agents, by node. */
export async function nodeReports(context: CheckContext): Promise<readonly NodeReport[]> {
  const known = asked.get(context) ?? askAll(context);
  asked.set(context, known);
  return await known;
}

async function askAll({ cluster, namespace }: CheckContext): Promise<readonly NodeReport[]> {
  const mesh = clusterMesh(cluster, { meshNamespace: namespace });
  const agents = (await mesh.proxies()).filter(({ kind }) => kind === 'node-agent');
  const reports: NodeReport[] = [];
  const queue = agents.values();
  const ask = async (): Promise<void> => {
    for (const agent of queue) {
      reports.push(await askOne(agent, () => cluster.clock.wallNow()));
      progress(`asking agents: ${reports.length} of ${agents.length}`);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, ask));
  progress('');
  return reports.sort((a, b) => (a.node < b.node ? -1 : 1));
}

async function askOne({ name, client }: ProxyAdmin, wallNow: () => number): Promise<NodeReport> {
  const askedAtMs = wallNow();
  try {
    const json = await client.get('/v1/node-check');
    return { node: name, json, askedAtMs, answeredAtMs: wallNow() };
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return {
      node: name,
      error: `${error.message} (${error.why ?? ''})`,
      askedAtMs,
      answeredAtMs: wallNow(),
    };
  }
}

/** One line that is written over, for somebody who watches. */
function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${text}`);
}
