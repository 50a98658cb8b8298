/** Fakes and suites that tests and benchmarks share. */
export { type IssueOptions, TestCa, type TestIdentity } from './test-ca.ts';
