/** Fakes and suites that tests and benchmarks share. */

export { type FakeCaller, FakeControlPlane, type FakeUpdate } from './fake-control-plane.ts';
export { type IssueOptions, TestCa, type TestIdentity } from './test-ca.ts';
export { shakeHands, tlsOf } from './tls-client.ts';
