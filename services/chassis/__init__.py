"""The microservice chassis: what every service is bolted onto. It knows no service and owns no proto."""
