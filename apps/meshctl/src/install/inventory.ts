/**
 * What `meshctl` installed in a namespace, kept in a ConfigMap there.
 *
 * It is written before objects are applied (old and new together) and after they are pruned, so that an interrupted
 * run leaves nothing that nobody knows of.
 */
import { UserError } from '../errors.ts';
import { VERSION } from '../version.ts';
import { type Cluster, FIELD_MANAGER, gvr, type Target } from './cluster.ts';
import { PART_OF } from './objects/common.ts';
import { isMap, type JsonMap } from './values.ts';

export const INVENTORY = 'ambit-install';
const CONFIG_MAPS = gvr('v1', 'configmaps');

export interface Inventory {
  readonly version: string;
  readonly profile: string;
  /** What people gave beyond the profile. */
  readonly values: JsonMap;
  readonly objects: readonly Target[];
  readonly hasMadeNamespace: boolean;
}

/** Undefined when meshctl installed nothing there. Throws a UserError if it cannot be read. */
export async function readInventory(
  { client }: Cluster,
  namespace: string,
): Promise<Inventory | undefined> {
  const found = await client.find(CONFIG_MAPS, { namespace, name: INVENTORY });
  const data = found?.['data'] as Readonly<Record<string, string>> | undefined;
  if (data === undefined) return undefined;
  try {
    const values: unknown = JSON.parse(data['values'] ?? '{}');
    const objects: unknown = JSON.parse(data['objects'] ?? '[]');
    if (!isMap(values) || !Array.isArray(objects) || !objects.every(isTarget))
      throw new TypeError('shape');
    return {
      version: data['version'] ?? '',
      profile: data['profile'] ?? 'default',
      values,
      objects,
      hasMadeNamespace: data['hasMadeNamespace'] === 'true',
    };
  } catch (error) {
    throw new UserError(`cannot read ConfigMap ${namespace}/${INVENTORY}`, {
      why: 'it is not as meshctl wrote it',
      fix: 'delete it and install again: objects that are there are taken over',
      cause: error,
    });
  }
}

export async function writeInventory(
  { client }: Cluster,
  namespace: string,
  inventory: Omit<Inventory, 'version'>,
): Promise<void> {
  await client.apply(
    CONFIG_MAPS,
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: {
        name: INVENTORY,
        namespace,
        labels: {
          'app.kubernetes.io/part-of': PART_OF,
          'app.kubernetes.io/managed-by': FIELD_MANAGER,
        },
      },
      data: {
        version: VERSION,
        profile: inventory.profile,
        values: JSON.stringify(inventory.values),
        objects: JSON.stringify(inventory.objects),
        hasMadeNamespace: String(inventory.hasMadeNamespace),
      },
    },
    { force: true },
  );
}

function isTarget(found: unknown): found is Target {
  return (
    isMap(found) && ['apiVersion', 'kind', 'name'].every((key) => typeof found[key] === 'string')
  );
}
