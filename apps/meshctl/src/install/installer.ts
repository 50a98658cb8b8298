/**
 * Puts an installation into a cluster: namespace, CRDs that it lacks, objects, then takes away what a former version
 * had more. Every write is a server-side apply, so doing it again changes nothing.
 */
import { isDeepStrictEqual } from 'node:util';
import { CRD_OWNER_LABEL, customResourceDefinitions } from '@ambit/api';
import { isKubeError, type KubeObject } from '@ambit/kube';
import { UserError } from '../errors.ts';
import {
  type Cluster,
  deleteTarget,
  describeTarget,
  FIELD_MANAGER,
  fieldAt,
  findTarget,
  gvr,
  refOf,
  resourceOf,
  type Target,
  targetOf,
  textAt,
} from './cluster.ts';
import { type Inventory, readInventory, writeInventory } from './inventory.ts';
import { type Manifest, renderNamespace, renderObjects } from './manifests.ts';
import { CONTROLLER } from './objects/common.ts';
import type { GivenValues } from './value-sources.ts';

export type Change = 'created' | 'configured' | 'unchanged' | 'deleted' | 'left';

export interface AppliedObject {
  readonly target: Target;
  readonly change: Change;
  /** Why it was left as it is. */
  readonly why?: string;
}

export interface InstallOptions {
  readonly namespace: string;
  readonly given: GivenValues;
  readonly isDryRun: boolean;
  readonly say: (line: string) => void;
}

const NAMESPACES = gvr('v1', 'namespaces');
const MANAGED_BY = 'app.kubernetes.io/managed-by';

/** Idempotent. Throws a UserError when the namespace holds an installation of somebody else. */
export async function install(
  cluster: Cluster,
  options: InstallOptions,
): Promise<readonly AppliedObject[]> {
  const { namespace, given, isDryRun, say } = options;
  await refuseForeign(cluster, namespace);
  const context = { values: given.values, namespace, service: FIELD_MANAGER };
  const objects = renderObjects(context);
  const targets = objects.map(targetOf);
  const former = await readInventory(cluster, namespace);
  const first = await applyNamespace(cluster, renderNamespace(context), isDryRun);
  const inventory = {
    profile: given.profile,
    values: given.own,
    hasMadeNamespace: former?.hasMadeNamespace ?? first.change === 'created',
  };
  if (isDryRun && first.change === 'created') {
    // Nothing can be tried in a namespace that is not there.
    return [first, ...targets.map((target): AppliedObject => ({ target, change: 'created' }))];
  }
  if (!isDryRun) {
    const both = [...targets, ...goneTargets(former, targets)];
    await writeInventory(cluster, namespace, { ...inventory, objects: both });
  }
  const crds = await applyCrds(cluster, isDryRun);
  say(`✔ CRDs ${summary(crds)}`);
  const applied: AppliedObject[] = [];
  for (const object of objects) {
    applied.push(await applyObject(cluster, object, isDryRun));
  }
  say(`✔ Objects ${summary(applied)}`);
  const pruned = await prune(cluster, goneTargets(former, targets), isDryRun);
  if (pruned.length > 0) say(`✔ Objects of version ${former?.version ?? ''} ${summary(pruned)}`);
  if (!isDryRun) await writeInventory(cluster, namespace, { ...inventory, objects: targets });
  return [first, ...crds, ...applied, ...pruned];
}

/** `3 created, 12 unchanged` */
export function summary(applied: readonly AppliedObject[]): string {
  const counts = Map.groupBy(applied, ({ change }) => change);
  return [...counts].map(([change, of]) => `${of.length} ${change}`).join(', ') || 'none';
}

async function refuseForeign(cluster: Cluster, namespace: string): Promise<void> {
  const target = { apiVersion: 'apps/v1', kind: 'Deployment', namespace, name: CONTROLLER };
  const found = await findTarget(cluster, target);
  const owner = found?.metadata.labels?.[MANAGED_BY];
  if (owner === undefined || owner === FIELD_MANAGER) return;
  throw new UserError(`${describeTarget(target)} is managed by ${owner}`, {
    why: 'two installers of the same objects would undo each other',
    fix:
      owner === 'Helm'
        ? 'use helm upgrade, or helm uninstall first'
        : `uninstall it with ${owner} first`,
  });
}

function goneTargets(former: Inventory | undefined, targets: readonly Target[]): readonly Target[] {
  const wanted = new Set(targets.map(describeTarget));
  return (former?.objects ?? []).filter((target) => !wanted.has(describeTarget(target)));
}

async function refuseLeaving(cluster: Cluster, name: string): Promise<void> {
  const found = await cluster.client.find(NAMESPACES, { name });
  if (found?.metadata.deletionTimestamp !== undefined) {
    throw new UserError(`namespace ${name} is being deleted`, {
      why: 'the cluster takes nothing new into it',
      fix: `when it is gone, try again: kubectl wait --for=delete namespace/${name}`,
    });
  }
}

async function applyNamespace(
  cluster: Cluster,
  manifest: Manifest,
  isDryRun: boolean,
): Promise<AppliedObject> {
  await refuseLeaving(cluster, manifest.metadata.name);
  try {
    return await applyObject(cluster, manifest, isDryRun, { force: false });
  } catch (error) {
    if (!isKubeError(error, 'KUBE_CONFLICT')) throw error;
    const found = await cluster.client.get(NAMESPACES, { name: manifest.metadata.name });
    const level = found.metadata.labels?.['pod-security.kubernetes.io/enforce'];
    if (level === undefined || level === 'privileged') {
      return { target: targetOf(manifest), change: 'left', why: 'its labels are of somebody else' };
    }
    throw new UserError(`namespace ${manifest.metadata.name} does not allow privileged pods`, {
      why: `somebody set pod-security.kubernetes.io/enforce to "${level}"; the agent needs host folders and SYS_ADMIN`,
      fix: `kubectl label namespace ${manifest.metadata.name} pod-security.kubernetes.io/enforce=privileged --overwrite, or install elsewhere (-n)`,
    });
  }
}

/** Only where nobody else brought them: Istio's stay as they are. */
async function applyCrds(cluster: Cluster, isDryRun: boolean): Promise<readonly AppliedObject[]> {
  const applied: AppliedObject[] = [];
  for (const definition of customResourceDefinitions()) {
    const manifest = definition as unknown as Manifest;
    const target = targetOf(manifest);
    const found = await findTarget(cluster, target);
    const owner = found?.metadata.labels?.[CRD_OWNER_LABEL.key];
    if (found !== undefined && owner !== CRD_OWNER_LABEL.value) {
      applied.push({ target, change: 'left', why: 'the cluster has it from somebody else' });
    } else {
      applied.push(await applyObject(cluster, manifest, isDryRun));
    }
  }
  if (!isDryRun) await waitForCrds(cluster, applied);
  return applied;
}

const CRD_TRIES = 100;
const CRD_POLL_MS = 100;

/** Until they are served: objects of them are applied next. */
async function waitForCrds(cluster: Cluster, crds: readonly AppliedObject[]): Promise<void> {
  const waiting = new Set(
    crds.filter(({ change }) => change !== 'unchanged').map(({ target }) => target),
  );
  for (let tries = 0; tries < CRD_TRIES && waiting.size > 0; tries += 1) {
    for (const target of waiting) {
      const found = await findTarget(cluster, target);
      const conditions = fieldAt(found, 'status', 'conditions');
      const isServed =
        Array.isArray(conditions) &&
        conditions.some(
          (one) => textAt(one, 'type') === 'Established' && textAt(one, 'status') === 'True',
        );
      if (isServed) waiting.delete(target);
    }
    if (waiting.size > 0) await cluster.clock.sleep(CRD_POLL_MS);
  }
}

async function applyObject(
  cluster: Cluster,
  manifest: Manifest,
  isDryRun: boolean,
  { force = true }: { readonly force?: boolean } = {},
): Promise<AppliedObject> {
  const target = targetOf(manifest);
  const before = await findTarget(cluster, target);
  const after = await cluster.client.apply(resourceOf(target), manifest as unknown as KubeObject, {
    force,
    isDryRun,
  });
  return { target, change: changeOf(before, after) };
}

/** By content: what was only tried has the version of what is there. */
function changeOf(before: KubeObject | undefined, after: KubeObject): Change {
  if (before === undefined) return 'created';
  return isDeepStrictEqual(contentOf(before), contentOf(after)) ? 'unchanged' : 'configured';
}

function contentOf({ metadata, status: _, ...rest }: KubeObject): unknown {
  const { labels, annotations } = metadata;
  return { ...rest, labels, annotations };
}

/** Never what somebody else has taken over since. */
async function prune(
  cluster: Cluster,
  targets: readonly Target[],
  isDryRun: boolean,
): Promise<readonly AppliedObject[]> {
  const pruned: AppliedObject[] = [];
  for (const target of targets) {
    const found = await cluster.client.find(resourceOf(target), refOf(target));
    if (found === undefined) continue;
    if (found.metadata.labels?.[MANAGED_BY] !== FIELD_MANAGER) {
      pruned.push({ target, change: 'left', why: 'it is managed by somebody else now' });
      continue;
    }
    if (!isDryRun) await deleteTarget(cluster, target);
    pruned.push({ target, change: 'deleted' });
  }
  return pruned;
}
