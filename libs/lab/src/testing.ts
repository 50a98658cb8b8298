/** The client of the scenarios, for tests that run it in pods of other kinds. */
export {
  Caller,
  type Echo,
  type HttpAnswer,
  type HttpCall,
  type LoadReport,
  type PodProcesses,
  type Tally,
  type TcpAnswer,
  type TcpCall,
} from './scenarios/caller.ts';
