/**
 * `meshctl __complete WHAT`: names that are there now, for shells. It never fails and never takes long: no names are no
 * reason to disturb somebody who types.
 */
import { systemClock } from '@ambit/core';
import { loadKubeconfig } from '@ambit/kube';
import { Argument, type Command } from 'commander';
import { getObjects } from '../admin-answers.ts';
import { type Cluster, gvr } from '../install/cluster.ts';
import { GATEWAYS, isWaypoint } from '../kubernetes/waypoint-objects.ts';
import { print } from '../output.ts';
import { controllerOf, type MeshTarget, meshOf } from '../target/mesh-target.ts';
import { addTargetOptions } from '../target/target-options.ts';

const LIVE_NAMES = [
  'namespaces',
  'nodes',
  'proxies',
  'logs',
  'waypoints',
  'pods',
  'contexts',
] as const;
export type LiveName = (typeof LIVE_NAMES)[number];

const COMPLETE_MS_MAX = 3_000;
const NAMES_MAX = 1_000;

export function registerComplete(program: Command): void {
  addTargetOptions(program.command('__complete', { hidden: true }))
    .addArgument(new Argument('<what>').choices([...LIVE_NAMES]))
    .description('Prints names for the completion of a shell.')
    .addHelpText('after', '\nExample:\n  meshctl __complete namespaces')
    .action(async (what: LiveName, _: unknown, command: Command) => {
      const names = await Promise.race([
        namesOf(what, command).catch(() => []),
        systemClock.sleep(COMPLETE_MS_MAX).then((): readonly string[] => []),
      ]);
      const shown = [...new Set(names)].sort().slice(0, NAMES_MAX);
      if (shown.length > 0) print(shown.join('\n'));
      // What is still under way is of no use any more.
      process.exit(0);
    });
}

async function namesOf(what: LiveName, command: Command): Promise<readonly string[]> {
  if (what === 'contexts') {
    return loadKubeconfig({ environment: process.env, clock: systemClock }).contexts;
  }
  const mesh = meshOf(command);
  switch (what) {
    case 'proxies':
      return (await mesh.proxies()).map(({ name }) => name);
    case 'logs':
      return ['controller', 'agent', 'waypoint', ...(await mesh.proxies()).map(({ name }) => name)];
    case 'nodes':
      return (await mesh.proxies()).flatMap(({ kind, name }) =>
        kind === 'node-agent' ? [name] : [],
      );
    case 'namespaces':
    case 'pods':
    case 'waypoints':
      return await objectNames(mesh, what, command);
  }
}

async function objectNames(
  { cluster }: MeshTarget,
  what: 'namespaces' | 'pods' | 'waypoints',
  command: Command,
): Promise<readonly string[]> {
  if (cluster !== undefined) return await clusterNames(cluster, what);
  const kind = { namespaces: 'Namespace', pods: 'Pod', waypoints: 'Gateway' }[what];
  const objects = await getObjects(await controllerOf(command));
  return objects.flatMap(({ object }) => (object?.kind === kind ? [object.metadata.name] : []));
}

async function clusterNames(
  { client }: Cluster,
  what: 'namespaces' | 'pods' | 'waypoints',
): Promise<readonly string[]> {
  const { namespace } = client.http.credentials;
  const found =
    what === 'namespaces'
      ? await client.list(gvr('v1', 'namespaces'))
      : what === 'pods'
        ? await client.list(gvr('v1', 'pods'), { namespace })
        : (await client.list(GATEWAYS, { namespace })).filter(isWaypoint);
  return found.map(({ metadata }) => metadata.name);
}
