"""What can go wrong when a model is asked. See error_reason.proto for what to do about each."""

from services.chassis.errors import Kind, ServiceError


class InferenceError(ServiceError):
    """An expected failure of this capability."""

    domain = "inference.parley"


class ContextLengthExceeded(InferenceError):
    """What may not be left out does not fit the model: `tokens` are needed, `limit` there are."""

    kind = Kind.INVALID_ARGUMENT
    reason = "CONTEXT_LENGTH_EXCEEDED"
    template = "the message needs about {tokens} tokens, the model reads at most {limit}"


class ModelNotFound(InferenceError):
    """No model has the id `model`."""

    kind = Kind.INVALID_ARGUMENT
    reason = "MODEL_NOT_FOUND"
    template = "there is no model {model!r}"


class ModelUnavailable(InferenceError):
    """The model `model` could not be reached or broke off; `cause` says why and holds no secret."""

    kind = Kind.UNAVAILABLE
    reason = "MODEL_UNAVAILABLE"
    template = "the model {model} is unavailable: {cause}"


class ModelRefused(InferenceError):
    """The provider of `model` refused the request with the HTTP status `status`."""

    kind = Kind.FAILED_PRECONDITION
    reason = "MODEL_REFUSED"
    template = "the provider of the model {model} refused the request (status {status})"


class ContentFiltered(InferenceError):
    """The provider's content filter took the request to the model `model` for one that is not to be answered."""

    kind = Kind.FAILED_PRECONDITION
    reason = "CONTENT_FILTERED"
    template = "the content filter of the model {model} refused the request"
