export { DevelopmentRoot } from './development-root.ts';
export { SimulatorError, type SimulatorErrorCode } from './errors.ts';
export { openDevelopmentRoot, rootFiles } from './root-folder.ts';
export { SimulatorServer, type SimulatorServerOptions } from './server.ts';
export { NsmSimulator, type SimulatorOptions } from './simulator.ts';
export type { SimulatorState } from './state.ts';
