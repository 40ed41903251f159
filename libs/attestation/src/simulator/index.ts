export { DevelopmentRoot } from './development-root.ts';
export { SimulatorError, type SimulatorErrorCode } from './errors.ts';
export { SimulatorServer, type SimulatorServerOptions } from './server.ts';
export { NsmSimulator, type SimulatorOptions } from './simulator.ts';
