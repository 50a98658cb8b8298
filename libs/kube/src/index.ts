/** Access to a Kubernetes API server. The only package that imports @kubernetes/client-node. */
export { KubeConfig } from '@kubernetes/client-node';
