/** A tunnel on loopback. Imported by tests only, as `@ambit/hbone/testing`. */
export { type RigOptions, TunnelRig } from './tunnel-rig.ts';
