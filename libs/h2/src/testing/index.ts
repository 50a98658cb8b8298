/** Peers and transports that tests are made of. Imported by tests only, as `@ambit/h2/testing`. */
export { EventLog, frame } from './frames.ts';
