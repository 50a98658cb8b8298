/** A mesh on one machine: pods as processes in network namespaces, from the same YAML as a cluster's. */
export { Capture } from './capture.ts';
export { LabClient } from './control-client.ts';
export { ControlServer } from './control-server.ts';
export { type DetachedLabOptions, startDetached } from './detached.ts';
export { LabError, type LabErrorCode } from './errors.ts';
export { type ExecResult, Lab, type WaitOptions } from './lab.ts';
export type { MeshExtraEnv } from './mesh.ts';
export { type LabPaths, labPaths, labsRoot, waypointFolder } from './paths.ts';
export type { LabProcess, ProcessEnd } from './process.ts';
export { type LabRecord, readLiveRecord } from './record.ts';
export { type LabOptions, labStart } from './start.ts';
export type { LabStatus } from './status.ts';
