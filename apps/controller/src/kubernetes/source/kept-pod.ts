/**
 * A pod in a third of the memory: its fields side by side instead of in objects of objects, which are made when somebody looks at them.
 *
 * The one rule: it is a `Pod` for whoever reads `metadata`, `spec` and `status`, and must not be spread. Two of them are equal if their
 * fields are, which is what the fields are public for.
 */
import type { ObjectMeta, Pod, PodSpec, PodStatus } from '@ambit/api';
import type { TextPool } from '@ambit/kube';

const HOST_NETWORK = 1;
const READY = 2;
const TERMINATING = 4;
const NO_ADDRESS: readonly string[] = [];

export class KeptPod implements Pod {
  readonly name: string;
  readonly namespace: string;
  readonly uid: string | undefined;
  readonly labels: ObjectMeta['labels'];
  readonly annotations: ObjectMeta['annotations'];
  readonly owners: ObjectMeta['ownerReferences'];
  readonly account: string;
  readonly node: string;
  readonly containers: PodSpec['containers'];
  readonly phase: PodStatus['phase'];
  /** Most have one. */
  readonly addresses: string | readonly string[];
  readonly flags: number;

  /** Of a pod without age and generation (`trimObject`). What others repeat is taken from `pool`. */
  constructor({ metadata, spec, status }: Pod, pool: TextPool) {
    const { name, namespace, uid, labels, annotations, ownerReferences } = metadata;
    const { podIPs, phase } = status;
    const [first = NO_ADDRESS] = podIPs;
    this.name = name;
    this.namespace = pool.text(namespace);
    this.uid = uid;
    this.labels = pool.record(labels);
    this.annotations = pool.record(annotations);
    this.owners = ownerReferences && pool.value(ownerReferences);
    this.account = pool.text(spec.serviceAccountName);
    this.node = pool.text(spec.nodeName);
    this.containers = pool.value(spec.containers);
    this.phase = phase;
    // A list that was filtered has room for seventeen.
    this.addresses = podIPs.length < 2 ? first : podIPs.slice();
    this.flags =
      (spec.hostNetwork ? HOST_NETWORK : 0) |
      (status.ready ? READY : 0) |
      (status.terminating ? TERMINATING : 0);
  }

  get kind(): 'Pod' {
    return 'Pod';
  }

  get apiVersion(): string {
    return 'v1';
  }

  get metadata(): ObjectMeta {
    const { name, namespace, uid, labels, annotations, owners } = this;
    return {
      name,
      namespace,
      ...(uid === undefined ? {} : { uid }),
      generation: 0,
      creationTimestampMs: 0,
      labels,
      annotations,
      ...(owners === undefined ? {} : { ownerReferences: owners }),
    };
  }

  get spec(): PodSpec {
    const { account, node, containers, flags } = this;
    const hostNetwork = (flags & HOST_NETWORK) !== 0;
    return { serviceAccountName: account, nodeName: node, hostNetwork, containers };
  }

  get status(): PodStatus {
    const { phase, addresses, flags } = this;
    const ready = (flags & READY) !== 0;
    const terminating = (flags & TERMINATING) !== 0;
    return {
      phase,
      podIPs: typeof addresses === 'string' ? [addresses] : addresses,
      ready,
      terminating,
    };
  }

  toJSON(): Pod {
    const { kind, apiVersion, metadata, spec, status } = this;
    return { kind, apiVersion, metadata, spec, status };
  }
}
