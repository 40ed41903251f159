import { TrustError, type TrustErrorCode } from '../src/index.ts';

/** A register with one digit repeated. */
export const pcr = (digit: string): string => digit.repeat(96);

export const ROLE = 'arn:aws:iam::111122223333:role/EnclaveRole';
export const ROOT = 'arn:aws:iam::111122223333:root';

export function refusal(code: TrustErrorCode, text?: RegExp): (error: unknown) => true {
  return (error) => {
    if (!(error instanceof TrustError)) throw error;
    if (error.code !== code) throw new Error(`expected ${code}, got ${error.code}: ${error.message}`);
    const whole = `${error.message}\n${error.remedy}`;
    if (text !== undefined && !text.test(whole)) throw new Error(`does not match ${text}: ${whole}`);
    return true;
  };
}
