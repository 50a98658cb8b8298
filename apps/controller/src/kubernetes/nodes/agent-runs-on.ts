/**
 * Whether the agents' DaemonSet wants a pod on a node, as the DaemonSet controller decides it. Where it does not, nobody would ever
 * take the taint off.
 */
import {
  type AgentSetFacts,
  type NodeFacts,
  type NodeRequirement,
  type NodeSelectorTerm,
  TAINT_KEY,
  type Taint,
  type Toleration,
} from './node-facts.ts';

/** Of a node that is starting, full or unreachable: it gets its agent all the same, or gets it later. */
const TEMPORARY = /^node(?:\.cloudprovider)?\.kubernetes\.io\//;
const OURS: Taint = { key: TAINT_KEY, effect: 'NoSchedule' };

export function agentRunsOn(set: AgentSetFacts, node: NodeFacts): boolean {
  // A kubelet that runs nothing on its node: the pods of DaemonSets stay as they were made.
  if (node.labels['type'] === 'virtual-kubelet') return false;
  const isSelected = Object.entries(set.nodeSelector).every(
    ([key, value]) => node.labels[key] === value,
  );
  const isNear = set.terms === undefined || set.terms.some((term) => termHolds(term, node));
  const inTheWay = [OURS, ...node.taints].some(
    (taint) =>
      taint.effect !== 'PreferNoSchedule' &&
      !TEMPORARY.test(taint.key) &&
      !set.tolerations.some((toleration) => tolerates(toleration, taint)),
  );
  return isSelected && isNear && !inTheWay;
}

function tolerates(
  { key = '', operator, value = '', effect = '' }: Toleration,
  taint: Taint,
): boolean {
  if (effect !== '' && effect !== taint.effect) return false;
  if (operator === 'Exists') return key === '' || key === taint.key;
  return key === taint.key && value === (taint.value ?? '');
}

/** An empty term holds nowhere. */
function termHolds({ matchExpressions, matchFields }: NodeSelectorTerm, node: NodeFacts): boolean {
  const expressions = matchExpressions ?? [];
  const fields = matchFields ?? [];
  return (
    expressions.length + fields.length > 0 &&
    expressions.every((requirement) => holds(requirement, node.labels[requirement.key])) &&
    fields.every(
      (requirement) => requirement.key === 'metadata.name' && holds(requirement, node.name),
    )
  );
}

function holds({ operator, values = [] }: NodeRequirement, found: string | undefined): boolean {
  switch (operator) {
    case 'In':
      return found !== undefined && values.includes(found);
    case 'NotIn':
      return found === undefined || !values.includes(found);
    case 'Exists':
      return found !== undefined;
    case 'DoesNotExist':
      return found === undefined;
    case 'Gt':
      return found !== undefined && Number(found) > Number(values[0]);
    case 'Lt':
      return found !== undefined && Number(found) < Number(values[0]);
    default:
      return false;
  }
}
