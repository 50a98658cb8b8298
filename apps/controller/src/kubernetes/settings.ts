/** What the controller has to know of the cluster it runs in. The chart sets all of it. */
import type { ListenEndpoint, SettingsReader } from '../config-reader.ts';
import {
  type IssuerReference,
  parseIssuerReference,
} from './trust/cert-manager/issuer-reference.ts';

export interface KubernetesSettings {
  /** Where this controller runs, and where what it keeps in the cluster is. */
  readonly namespace: string;
  /** Of this replica. */
  readonly podName: string;
  /** That it runs as. */
  readonly serviceAccount: string;
  /** A file; empty: $KUBECONFIG, or the pod's own account. */
  readonly kubeconfig: string;
  readonly revision: string;
  /** Where the root and its key are. */
  readonly caSecret: string;
  /** Who signs for workloads instead of the CA here. */
  readonly certManagerIssuer: IssuerReference | undefined;
  /** With the root certificate, in every namespace. */
  readonly rootConfigMap: string;
  /** The name by which agents and waypoints find the controllers. */
  readonly service: string;
  readonly webhookAddress: ListenEndpoint | undefined;
  /** Nodes without a ready agent carry `ambit.io/agent-not-ready`. */
  readonly taintsNodes: boolean;
  /** Proves to the other replicas who this one is. Empty: the only replica. */
  readonly tokenPath: string;
  readonly waypoint: WaypointImage;
}

/** What waypoints run as, unless their Gateway says otherwise. */
export interface WaypointImage {
  readonly image: string;
  readonly pullPolicy: 'Always' | 'IfNotPresent' | 'Never';
  /** As in a container. */
  readonly resources: Readonly<Record<string, unknown>>;
  /** Their pods carry the annotations by which Prometheus finds them. */
  readonly isScraped: boolean;
}

const NAME = /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/;
const PULL_POLICIES = ['Always', 'IfNotPresent', 'Never'] as const;

export function readKubernetesSettings(read: SettingsReader): KubernetesSettings {
  const name = (variable: string, fallback: string): string =>
    read.matching(variable, fallback, NAME, 'a name of lower case letters, digits, "-" and "."');
  const issuer = read.text('AMBIT_CERT_MANAGER_ISSUER', '');
  if (issuer !== '' && parseIssuerReference(issuer) === undefined) {
    read.refuse('AMBIT_CERT_MANAGER_ISSUER', issuer, 'KIND/NAME or KIND/NAME/GROUP of an issuer');
  }
  return {
    namespace: read.required('POD_NAMESPACE', 'the namespace of this pod'),
    podName: read.required('POD_NAME', 'the name of this pod'),
    serviceAccount: name('SERVICE_ACCOUNT', 'ambit-controller'),
    kubeconfig: read.text('AMBIT_KUBECONFIG', ''),
    revision: name('REVISION', 'default'),
    caSecret: name('AMBIT_CA_SECRET', 'ambit-ca-secret'),
    certManagerIssuer: issuer === '' ? undefined : parseIssuerReference(issuer),
    rootConfigMap: name('AMBIT_ROOT_CONFIGMAP', 'ambit-ca-root-cert'),
    service: name('AMBIT_SERVICE', 'ambit-controller'),
    webhookAddress: read.endpoint('AMBIT_WEBHOOK_ADDRESS', ':15017'),
    taintsNodes: read.flag('AMBIT_NODE_TAINT', 'true'),
    tokenPath: read.text('AMBIT_TOKEN_PATH', ''),
    waypoint: {
      image: read.required('AMBIT_WAYPOINT_IMAGE', 'the image that waypoints run'),
      pullPolicy: read.oneOf('AMBIT_WAYPOINT_IMAGE_PULL_POLICY', 'IfNotPresent', PULL_POLICIES),
      resources: read.json('AMBIT_WAYPOINT_RESOURCES', '{}'),
      isScraped: read.flag('AMBIT_WAYPOINT_SCRAPED', 'true'),
    },
  };
}
