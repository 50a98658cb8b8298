/** Whether an installation is healthy, as far as the API server can say. */
import { X509Certificate } from 'node:crypto';
import { defaultValues } from '../check-values.ts';
import { fieldAt, findTarget, gvr, listAt, listIfServed, numberAt, textAt } from '../cluster.ts';
import { readInventory } from '../inventory.ts';
import { AGENT, CONTROLLER, PART_OF } from '../objects/common.ts';
import { missing } from '../rollout.ts';
import { valueAt } from '../values.ts';
import { type Check, type CheckContext, error, type Outcome, ok, some, warning } from './check.ts';

const NODES = gvr('v1', 'nodes');
const PODS = gvr('v1', 'pods');
const SLICES = gvr('discovery.k8s.io/v1', 'endpointslices');
const CONFIG_MAPS = gvr('v1', 'configmaps');
const WEBHOOKS = gvr('admissionregistration.k8s.io/v1', 'validatingwebhookconfigurations');
const TAINT = 'ambit.io/agent-not-ready';
const DAY_MS = 86_400_000;
const ROOT_DAYS_MIN = 60;
const RESTARTS_MAX = 5;

export const MESH_CHECKS: readonly Check[] = [
  {
    id: 'installed',
    category: 'Installation',
    description: 'Ambit is installed here',
    hint: 'meshctl install, or name the namespace with -n.',
    isFatal: true,
    run: isInstalled,
  },
  {
    id: 'controller-ready',
    category: 'Control plane',
    description: 'all replicas of the controller are ready',
    hint: `kubectl -n NAMESPACE describe pods -l app.kubernetes.io/name=${CONTROLLER} says what they wait for.`,
    run: async (context) => await rolloutOf(context, 'Deployment', CONTROLLER),
  },
  {
    id: 'controller-endpoints',
    category: 'Control plane',
    description: 'the Service of the controller has endpoints',
    hint: 'Agents and the API server reach the controller through it; see whether its pods are ready.',
    run: controllerEndpoints,
  },
  {
    id: 'root-certificate',
    category: 'Control plane',
    description: `the root certificate is there and holds for ${ROOT_DAYS_MIN} days`,
    hint: 'The controller writes it; rotate it with meshctl ca rotate before it ends.',
    run: rootCertificate,
  },
  {
    id: 'webhook',
    category: 'Control plane',
    description: 'the admission webhook is registered',
    hint: 'The controller registers it; its log says why not. Without it wrong objects are only found afterwards.',
    run: webhook,
  },
  {
    id: 'agents-ready',
    category: 'Nodes',
    description: 'the agents of all nodes are ready and of one version',
    hint: `kubectl -n NAMESPACE logs -l app.kubernetes.io/name=${AGENT} --prefix says what they wait for.`,
    run: async (context) => await rolloutOf(context, 'DaemonSet', AGENT),
  },
  {
    id: 'nodes-have-agents',
    category: 'Nodes',
    description: 'every node has an agent',
    hint: 'Widen agent.nodeSelector or agent.tolerations: pods of enrolled namespaces do not start there.',
    run: nodesHaveAgents,
  },
  {
    id: 'taints',
    category: 'Nodes',
    description: 'no ready agent is on a node that is still tainted',
    hint: 'The controller takes the taint off; is one of its replicas the leader?',
    run: taints,
  },
  {
    id: 'restarts',
    category: 'Nodes',
    description: 'no program of Ambit keeps restarting',
    hint: 'kubectl logs --previous of that pod says why it ended.',
    run: restarts,
  },
];

async function isInstalled(context: CheckContext): Promise<Outcome> {
  const { cluster, namespace } = context;
  const inventory = await readInventory(cluster, namespace);
  if (inventory !== undefined)
    return ok(`version ${inventory.version}, profile ${inventory.profile}`);
  const found = await findTarget(cluster, targetIn(context, 'Deployment', CONTROLLER));
  return found === undefined
    ? error(`nothing of it is in namespace ${namespace}`)
    : ok('by another installer');
}

function targetIn({ namespace }: CheckContext, kind: string, name: string) {
  return { apiVersion: 'apps/v1', kind, namespace, name };
}

async function rolloutOf(context: CheckContext, kind: string, name: string): Promise<Outcome> {
  const found = await findTarget(context.cluster, targetIn(context, kind, name));
  if (found === undefined) return error(`${kind} ${name} is not there`);
  const why = missing({ kind }, found);
  return why === undefined ? ok() : error(why);
}

async function controllerEndpoints({ cluster, namespace }: CheckContext): Promise<Outcome> {
  const labelSelector = `kubernetes.io/service-name=${CONTROLLER}`;
  const slices = await cluster.client.list(SLICES, { namespace, labelSelector });
  const ready = slices
    .flatMap((slice) => listAt(slice, 'endpoints'))
    .filter((endpoint) => fieldAt(endpoint, 'conditions', 'ready') === true);
  return ready.length === 0 ? error('it has none that is ready') : ok(`${ready.length} ready`);
}

async function rootCertificate({ cluster, namespace }: CheckContext): Promise<Outcome> {
  const inventory = await readInventory(cluster, namespace);
  const given = inventory === undefined ? undefined : valueAt(inventory.values, 'ca.rootConfigMap');
  const name = String(given ?? valueAt(defaultValues(), 'ca.rootConfigMap'));
  const found = await cluster.client.find(CONFIG_MAPS, { namespace, name });
  const pem = textAt(found, 'data', 'root-cert.pem');
  if (pem === '') return error(`ConfigMap ${namespace}/${name} has none`);
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g) ?? [];
  const days = blocks.map((block) => daysLeft(block, cluster.clock.wallNow()));
  const least = Math.min(...days);
  if (Number.isNaN(least) || blocks.length === 0) return error('it is no certificate');
  if (least < 0) return error('it has expired');
  return least < ROOT_DAYS_MIN ? warning(`it ends in ${least} days`) : ok(`${least} days left`);
}

function daysLeft(pem: string, now: number): number {
  try {
    return Math.floor((Date.parse(new X509Certificate(pem).validTo) - now) / DAY_MS);
  } catch {
    // Not a certificate: said by the caller.
    return Number.NaN;
  }
}

async function webhook({ cluster }: CheckContext): Promise<Outcome> {
  const labelSelector = `app.kubernetes.io/part-of=${PART_OF}`;
  const found = await cluster.client.list(WEBHOOKS, { labelSelector });
  if (found.length === 0) return warning('it is not');
  const trusting = found.filter((one) =>
    listAt(one, 'webhooks').every((hook) => textAt(hook, 'clientConfig', 'caBundle') !== ''),
  );
  return trusting.length === found.length
    ? ok()
    : error('the API server was not told whom to trust');
}

async function nodesHaveAgents(context: CheckContext): Promise<Outcome> {
  const { cluster } = context;
  const [nodes, agents] = await Promise.all([cluster.client.list(NODES), agentPods(context)]);
  const covered = new Set(agents.map((pod) => textAt(pod, 'spec', 'nodeName')));
  const without = nodes.map(({ metadata }) => metadata.name).filter((name) => !covered.has(name));
  return without.length === 0 ? ok(`${nodes.length} nodes`) : error(`none on ${some(without)}`);
}

async function taints(context: CheckContext): Promise<Outcome> {
  const agents = await agentPods(context);
  const ready = new Set(
    agents
      .filter((pod) =>
        listAt(pod, 'status', 'conditions').some(
          (one) => textAt(one, 'type') === 'Ready' && textAt(one, 'status') === 'True',
        ),
      )
      .map((pod) => textAt(pod, 'spec', 'nodeName')),
  );
  const nodes = await context.cluster.client.list(NODES);
  const stuck = nodes
    .filter((node) =>
      listAt(node, 'spec', 'taints').some((taint) => textAt(taint, 'key') === TAINT),
    )
    .map(({ metadata }) => metadata.name)
    .filter((name) => ready.has(name));
  return stuck.length === 0 ? ok() : error(some(stuck));
}

async function restarts({ cluster, namespace }: CheckContext): Promise<Outcome> {
  const labelSelector = `app.kubernetes.io/part-of=${PART_OF}`;
  const pods = await listIfServed(cluster, PODS, { namespace, labelSelector });
  const often = pods
    .filter((pod) =>
      listAt(pod, 'status', 'containerStatuses').some(
        (one) => numberAt(one, 'restartCount') > RESTARTS_MAX,
      ),
    )
    .map(({ metadata }) => metadata.name);
  return often.length === 0 ? ok() : warning(some(often));
}

async function agentPods({ cluster, namespace }: CheckContext) {
  const labelSelector = `app.kubernetes.io/name=${AGENT}`;
  return await cluster.client.list(PODS, { namespace, labelSelector });
}
