package io.uwfq.conformance;

import static java.util.Map.entry;

import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Message;
import com.google.protobuf.util.JsonFormat;
import io.uwfq.client.Client;
import io.uwfq.v1.AddStagesRequest;
import io.uwfq.v1.CancelJobRequest;
import io.uwfq.v1.CloseJobRequest;
import io.uwfq.v1.DropStagesRequest;
import io.uwfq.v1.ExplainJobRequest;
import io.uwfq.v1.GetJobRequest;
import io.uwfq.v1.GetPoolRequest;
import io.uwfq.v1.ListJobsRequest;
import io.uwfq.v1.ListPoolsRequest;
import io.uwfq.v1.ListUsersRequest;
import io.uwfq.v1.NextTaskRequest;
import io.uwfq.v1.RenewLeasesRequest;
import io.uwfq.v1.SetUserRequest;
import io.uwfq.v1.SplitStageRequest;
import io.uwfq.v1.SubmitJobRequest;
import io.uwfq.v1.TaskDoneRequest;
import java.util.Map;
import java.util.function.BiFunction;

/**
 * A method of the client by its name in the protocol.
 *
 * @param prototype of its requests
 */
record UnaryMethod<Q extends Message, A extends Message>(
    Q prototype, BiFunction<Client, Q, A> method) {

  private static final Map<String, UnaryMethod<?, ?>> METHODS =
      Map.ofEntries(
          entry("SubmitJob", of(SubmitJobRequest.getDefaultInstance(), Client::submit)),
          entry("AddStages", of(AddStagesRequest.getDefaultInstance(), Client::addStages)),
          entry("SplitStage", of(SplitStageRequest.getDefaultInstance(), Client::splitStage)),
          entry("DropStages", of(DropStagesRequest.getDefaultInstance(), Client::dropStages)),
          entry("CloseJob", of(CloseJobRequest.getDefaultInstance(), Client::closeJob)),
          entry("CancelJob", of(CancelJobRequest.getDefaultInstance(), Client::cancel)),
          entry("NextTask", of(NextTaskRequest.getDefaultInstance(), Client::nextTask)),
          entry("TaskDone", of(TaskDoneRequest.getDefaultInstance(), Client::taskDone)),
          entry("RenewLeases", of(RenewLeasesRequest.getDefaultInstance(), Client::renewLeases)),
          entry("GetJob", of(GetJobRequest.getDefaultInstance(), Client::get)),
          entry("ListJobs", of(ListJobsRequest.getDefaultInstance(), Client::list)),
          entry("ExplainJob", of(ExplainJobRequest.getDefaultInstance(), Client::explain)),
          entry("SetUser", of(SetUserRequest.getDefaultInstance(), Client::setUser)),
          entry("ListUsers", of(ListUsersRequest.getDefaultInstance(), Client::listUsers)),
          entry("GetPool", of(GetPoolRequest.getDefaultInstance(), Client::getPool)),
          entry(
              "ListPools",
              of(ListPoolsRequest.getDefaultInstance(), (client, all) -> client.listPools())));

  private static <Q extends Message, A extends Message> UnaryMethod<Q, A> of(
      Q prototype, BiFunction<Client, Q, A> method) {
    return new UnaryMethod<>(prototype, method);
  }

  static UnaryMethod<?, ?> named(String name) {
    UnaryMethod<?, ?> method = METHODS.get(name);
    if (method == null) {
      throw new IllegalArgumentException("no such method: " + name);
    }
    return method;
  }

  A call(Client client, String json) throws InvalidProtocolBufferException {
    Message.Builder request = prototype.newBuilderForType();
    JsonFormat.parser().merge(json, request);
    @SuppressWarnings("unchecked") // What the prototype's builder builds is like the prototype.
    Q built = (Q) request.build();
    return method.apply(client, built);
  }
}
