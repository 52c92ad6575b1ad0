/** One finished call, for metrics. */
export interface GrpcObservation {
  /** `/flotilla.v1.Points/Search` */
  readonly route: string;
  readonly method: "GRPC";
  /** As REST would have answered. */
  readonly status: number;
  readonly seconds: number;
}
