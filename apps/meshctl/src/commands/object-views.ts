/** Objects that people wrote, with what the mesh says of them: by kind, and policies and routes together. */
import { formatFinding, serializeObject } from '@ambit/api';
import { type AdminObject, conditionOf, splitKey } from '@ambit/model';
import { getObject, getObjects } from '../admin-answers.ts';
import { UserError } from '../errors.ts';
import type { KindName } from '../kinds.ts';
import { printAs, table } from '../output.ts';
import { type GetQuery, showView } from './get-query.ts';
import { appliesTo, routeHosts } from './object-facts.ts';

const CONDITION_COLUMNS = ['ACCEPTED', 'ENFORCED', 'MESSAGE'];

export async function getKindView(kind: KindName, query: GetQuery): Promise<void> {
  const { name, namespace, client } = query;
  if (name !== undefined && (namespace !== undefined || !kind.isNamespaced)) {
    const key = kind.isNamespaced ? `${kind.kind}/${namespace}/${name}` : `${kind.kind}/${name}`;
    const object = await getObject(client, key);
    if (object !== undefined) {
      showObject(object, query);
      return;
    }
  }
  const items = (await getObjects(client)).filter(({ key }) => splitKey(key).kind === kind.kind);
  const named = items.filter(({ key }) => splitKey(key).name === name);
  const [only] = named;
  if (name !== undefined && namespace === undefined && only !== undefined) {
    if (named.length > 1) throw ambiguous(name, named);
    showObject(only, query);
    return;
  }
  showView<AdminObject>(
    {
      ...common,
      what: `objects of kind ${kind.kind}`,
      items,
      columns: [...(kind.isNamespaced ? ['NAMESPACE'] : []), 'NAME', ...CONDITION_COLUMNS],
      rowOf: (object) => {
        const key = splitKey(object.key);
        return [...(kind.isNamespaced ? [key.namespace] : []), key.name, ...conditionCells(object)];
      },
    },
    query,
  );
}

const POLICY_KINDS: ReadonlySet<string> = new Set([
  'AuthorizationPolicy',
  'PeerAuthentication',
  'RequestAuthentication',
]);
const ROUTE_KINDS: ReadonlySet<string> = new Set([
  'VirtualService',
  'DestinationRule',
  'HTTPRoute',
  'GRPCRoute',
  'TCPRoute',
]);

export async function getPoliciesView(query: GetQuery): Promise<void> {
  showView<AdminObject>(
    {
      ...common,
      what: 'policies',
      items: (await getObjects(query.client)).filter(({ key }) =>
        POLICY_KINDS.has(splitKey(key).kind),
      ),
      columns: ['NAMESPACE', 'NAME', 'KIND', 'ACTION', 'APPLIES TO', ...CONDITION_COLUMNS],
      rowOf: (object) => {
        const { kind, namespace, name } = splitKey(object.key);
        return [namespace, name, kind, ...appliesTo(object.object), ...conditionCells(object)];
      },
    },
    query,
  );
}

export async function getRoutesView(query: GetQuery): Promise<void> {
  showView<AdminObject>(
    {
      ...common,
      what: 'routes',
      items: (await getObjects(query.client)).filter(({ key }) =>
        ROUTE_KINDS.has(splitKey(key).kind),
      ),
      columns: ['NAMESPACE', 'NAME', 'KIND', 'FOR', ...CONDITION_COLUMNS],
      rowOf: (object) => {
        const { kind, namespace, name } = splitKey(object.key);
        return [namespace, name, kind, routeHosts(object.object), ...conditionCells(object)];
      },
    },
    query,
  );
}

const common = {
  nameOf: ({ key }: AdminObject) => splitKey(key).name,
  namespaceOf: ({ key }: AdminObject) => splitKey(key).namespace,
  dataOf,
};

/** Status of both conditions, and the message of the first that is not True. */
function conditionCells(object: AdminObject): readonly string[] {
  const accepted = conditionOf(object, 'Accepted');
  const enforced = conditionOf(object, 'Enforced');
  const wrong = object.status?.conditions.find(({ status }) => status !== 'True');
  return [
    accepted?.status ?? '-',
    enforced?.status ?? '-',
    wrong === undefined ? '' : `${wrong.reason}: ${wrong.message}`,
  ];
}

function showObject(object: AdminObject, { output }: GetQuery): void {
  printAs(output, dataOf(object), () => describeObject(object));
}

function describeObject({ key, object, status }: AdminObject): string {
  const generation = object === undefined ? '' : `, generation ${object.metadata.generation}`;
  const version =
    object === undefined ? 'refused, no version of it is in force' : object.apiVersion;
  const conditions = status?.conditions ?? [];
  const findings = status?.findings ?? [];
  return [
    `${key} (${version}${generation})`,
    conditions.length === 0
      ? 'no conditions'
      : table(
          ['CONDITION', 'STATUS', 'REASON', 'GENERATION', 'MESSAGE'],
          conditions.map(({ type, status: is, reason, observedGeneration, message }) => [
            type,
            is,
            reason,
            String(observedGeneration),
            message,
          ]),
        ),
    ...(findings.length === 0
      ? []
      : [['FINDINGS', ...findings.map((finding) => formatFinding(finding))].join('\n')]),
  ].join('\n\n');
}

/** The object in its official form, with what is said of it as `status`. */
function dataOf({ key, object, status }: AdminObject): unknown {
  const said = {
    ...(status === undefined
      ? {}
      : { status: { conditions: status.conditions, findings: status.findings } }),
  };
  return object === undefined ? { key, ...said } : { ...serializeObject(object), ...said };
}

function ambiguous(name: string, objects: readonly AdminObject[]): UserError {
  const namespaces = objects.map(({ key }) => splitKey(key).namespace);
  return new UserError(`"${name}" is in several namespaces: ${namespaces.join(', ')}`, {
    fix: `choose one: -n ${namespaces[0] ?? ''}`,
  });
}
