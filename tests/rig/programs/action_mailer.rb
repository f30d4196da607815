# Sends $MESSAGE through Rails' ActionMailer, configured as a Rails application's config/environments/production.rb does.
# What Rails handed to Net::SMTP is written to $SENT: version 2.7 of its mail library doubles a line's only dot.
require "action_mailer"
require "net/smtp"

Net::SMTP.prepend(Module.new do
  def sendmail(content, *envelope)
    File.binwrite(ENV["SENT"], content.to_s)
    super
  end
end)

settings = { address: ENV["SMTP_HOST"], port: ENV["SMTP_PORT"].to_i, domain: "client.clinic.test",
             open_timeout: 20, read_timeout: 30 }
case ENV["SMTP_SECURITY"]
when "starttls" then settings.update(enable_starttls: true, openssl_verify_mode: "peer")
when "implicit" then settings.update(ssl: true, openssl_verify_mode: "peer")
else settings.update(enable_starttls_auto: false)
end
settings[:ca_file] = ENV["SMTP_AUTHORITY"] unless ENV["SMTP_AUTHORITY"].empty?
unless ENV["SMTP_MECHANISM"].empty?
  settings.update(user_name: ENV["SMTP_USERNAME"], password: ENV["SMTP_PASSWORD"],
                  authentication: ENV["SMTP_MECHANISM"].downcase.tr("-", "_").to_sym)
end

ActionMailer::Base.delivery_method = :smtp
ActionMailer::Base.smtp_settings = settings
ActionMailer::Base.raise_delivery_errors = true

class ClinicMailer < ActionMailer::Base
  def report(sender, recipients)
    mail(from: sender, to: recipients, subject: "replaced", body: "replaced")
  end
end

begin
  report = ClinicMailer.report(ENV["MAIL_FROM"], ENV["MAIL_TO"].split(","))
  content = File.binread(ENV["MESSAGE"])
  report.message.define_singleton_method(:encoded) { content }
  report.deliver_now
rescue StandardError => error
  puts "#{error.class}: #{error.message}"
  exit 1
end
