/** Helpers for tests of code that uses a Kubernetes API server: a fake one and a real one. */
export {
  answer,
  FakeApiServer,
  type FakeKind,
  type FakeRequest,
  fail,
  type Intercept,
} from './fake-api-server.ts';
export { GATEWAY_CRD } from './gateway-crd.ts';
export { heapAfterGc, podText, servePods } from './many-pods.ts';
export { openTestCluster, type TestCluster } from './test-cluster.ts';
