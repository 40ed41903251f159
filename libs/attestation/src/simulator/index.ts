export { DevelopmentRoot } from './development-root.ts';
export { SimulatorError, type SimulatorErrorCode } from './errors.ts';
export { NsmSimulator, type SimulatorOptions } from './simulator.ts';
