/** Helpers for tests of code that uses a Kubernetes API server. */
export { KubeConfig } from '@kubernetes/client-node';
